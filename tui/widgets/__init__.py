"""What the screens are made of; each shows values and says what a person wants."""
