"""Llama 4's text tower in torch: configuration, weights, layers, KV, prefill and decode; imports torch and itself."""
