"""A plan for everyone who reads one: people, programs, reviewers of a pull request, the CI that shows errors in place.

    text.py        compact text, coloured when asked          as_json.py  for programs, versioned
    markdown.py    for a comment on a pull request            github.py   annotations on the right line
    validation.py  what `validate` and `explain` found        config.py   what `reconcile config` read
    style.py       signs and colours

Pure: everything here is a function from values to text. Nothing is imported here: a command shows one form of four.
"""
