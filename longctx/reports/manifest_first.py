"""Manifests to begin with, in each form: as short as they can be, with comments on what else may stand in them."""

from longctx.reports.manifest import SCHEMA

ABOUT = "What is this about, and for whom was it written?"
FIGURES = "Which figures matter most, and what do they say?"
TOML = f"""\
# What a report is to hold. `longctx report FILE` writes it, and goes on where it was stopped.
# `longctx report --schema` prints the JSON schema of this file, for editors.
schema = "{SCHEMA}"
title = "Report"
# description = "What stands below the title."

[corpus]
paths = ["."]  # folders, files, globs or git URLs; relative ones start at this file's folder
# exclude = ["**/drafts/**"]  # as in .gitignore; `include` brings back what is left out by default
# only = ["*.pdf", "*.md"]  # nothing but these

# Who answers; what is not said here comes from your settings or the command line.
[engine]
# name = "vllm"
# max_tokens = 1200
# jobs = 4  # questions asked at once

# Summaries of the whole and of each document. Leave the table out to have none.
[summary]
per_document = false
length = "medium"  # short, medium or long
style = "bullets"  # bullets, prose or outline
# sections = ["key points", "numbers", "risks"]

[[question]]
id = "purpose"
text = "{ABOUT}"

[[question]]
id = "numbers"
text = "{FIGURES}"
# require_verified = true  # it fails unless all its citations are verified
# schema = "numbers.schema.json"  # the answer must obey this JSON schema
# depends_on = ["purpose"]  # asked before; {{{{answers.purpose}}}} in the text stands for its answer

[output]
formats = ["md", "html", "json"]
# folder = "report"
"""
YAML = f"""\
# What a report is to hold. `longctx report FILE` writes it, and goes on where it was stopped.
# `longctx report --schema` prints the JSON schema of this file, for editors.
schema: {SCHEMA}
title: Report
# description: What stands below the title.

corpus:
  paths: ["."]  # folders, files, globs or git URLs; relative ones start at this file's folder
  # exclude: ["**/drafts/**"]  # as in .gitignore; `include` brings back what is left out by default
  # only: ["*.pdf", "*.md"]  # nothing but these

# Who answers; what is not said here comes from your settings or the command line.
# engine:
#   name: vllm
#   max_tokens: 1200
#   jobs: 4  # questions asked at once

# Summaries of the whole and of each document. Leave it out to have none.
summary:
  per_document: false
  length: medium  # short, medium or long
  style: bullets  # bullets, prose or outline
  # sections: [key points, numbers, risks]

question:
  - id: purpose
    text: "{ABOUT}"
  - id: numbers
    text: "{FIGURES}"
    # require_verified: true  # it fails unless all its citations are verified
    # schema: numbers.schema.json  # the answer must obey this JSON schema
    # depends_on: [purpose]  # asked before; {{{{answers.purpose}}}} in the text stands for its answer

output:
  formats: [md, html, json]
  # folder: report
"""
LINES = f"""\
# A question a line, named q1, q2 … `longctx report FILE --corpus PATH` answers them.
{ABOUT}
{FIGURES}
"""
TABLE = f"""\
id,text,require_verified,schema,depends_on
purpose,"{ABOUT}",,,
numbers,"{FIGURES}",no,,purpose
"""
FORMS = {".toml": TOML, ".yaml": YAML, ".yml": YAML, ".txt": LINES, ".csv": TABLE}
WITHOUT_CORPUS = (".txt", ".csv")  # lists of questions, which have no place to name one
