"""Scripts for the faulty server of the judges' tests, and what must come of them, whatever is judged."""

# script -> (status of the verdict, calls that the server counts)
ONE_TEXT = {
    "ok": ("ok", 1),
    "text": ("ok", 1),
    "fenced": ("ok", 1),
    "quote": ("ok", 1),
    "thoughts": ("ok", 1),
    "nousage": ("ok", 1),
    "wholecut": ("ok", 1),
    "emptyschema": ("ok", 2),
    "noschema": ("ok", 2),
    "newfield": ("ok", 2),
    "429|ok": ("ok", 2),
    "429:0.01|429:soon|ok": ("ok", 3),
    "500|503|408|409|ok": ("ok", 5),
    "close|half|badjson|html|errorbody|ok": ("ok", 6),
    "two|none|ok": ("ok", 3),
    "empty": ("unparsable", 2),
    "word": ("unparsable", 1),
    "range": ("unparsable", 1),
    "negative": ("unparsable", 1),
    "bool": ("unparsable", 1),
    "cut": ("truncated", 1),
    "cutthoughts": ("truncated", 1),
    "refuse": ("refused", 1),
    "decline": ("refused", 1),
    "filter": ("refused", 1),
    "blocked": ("refused", 1),
    "500": ("failed", 6),
    "two": ("failed", 6),
    "400": ("failed", 2),  # once with a schema and once without: the schema might have been the reason
    "429:1000": ("failed", 1),
}

# Steps after which the server is called again.
FAULTS = [
    "429",
    "429:0.005",
    "500",
    "503",
    "408",
    "409",
    "close",
    "half",
    "badjson",
    "html",
    "errorbody",
    "two",
    "none",
]
# Last step -> status of the verdict.
ENDS = {"ok": "ok", "text": "ok", "fenced": "ok", "quote": "ok", "emptyschema": "ok", "word": "unparsable"}
ENDS |= {"range": "unparsable", "cut": "truncated", "refuse": "refused", "decline": "refused", "500": "failed"}
