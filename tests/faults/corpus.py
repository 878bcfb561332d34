"""Bodies and strings that have broken parsers before: our own list, in the manner of the well-known suites."""

from __future__ import annotations

import json

NUMBERS = [
    "01", "-01", "1.", ".5", "-.5", "1e", "1e+", "1E-", "+1", "--1", "-", "- 1", "1.e1", "1.5.5", "1_000",
    "1,5", "0x1F", "0b1", "0o7", "1a", "1eE2", "NaN", "-NaN", "nan", "Infinity", "-Infinity", "inf", "+Inf",
    "1e999", "-1e999", "1e-999", "1e400000", "0e0", "-0", "-0.0", "9007199254740993", "18446744073709551616",
    "-9223372036854775809", "1" * 400, "0." + "1" * 400, "1e308", "1.7976931348623159e308", "5e-324", "１", "٣",
    "½", "1L", "1f", "0.0000001e1000",
]  # fmt: skip
WORDS = [
    "nul", "nulll", "Null", "NULL", "None", "undefined", "tru", "TRUE", "True", "fals", "False", "true false",
    "yes", "'a'", "a", "abc", "/**/1", "1//", "#1", "`a`", "\\u0022a\\u0022",
]  # fmt: skip
STRINGS = [
    '"', '"a', 'a"', '"\\"', '"\\x00"', '"\\u"', '"\\u00"', '"\\u00G0"', '"\\uD800"', '"\\uDC00"',
    '"\\uD800\\uD800"', '"\\uDBFF\\uDFFF"', '"\\u0000"', '"\\a"', '"\\ "', '"\t"', '"\n"', '"\x00"', '"\x1f"',
    '"\x7f"', '"\u2028\u2029"', '"\ufeff"', '"\\🌀"', '"' + "a" * 60_000 + '"', '"\\uFFFE\\uFFFF"', "''",
    '"a" "b"', '"\\u{1F600}"',
]  # fmt: skip
STRUCTURES = [
    "", " ", "\n", "\x00", "\ufeff{}", "{", "}", "[", "]", "[}", "{]", "[[", "]]", "{}}", "[]]", "[1,]", "[,1]",
    "[,]", "[1,,2]", "[1 2]", "[1;2]", '{"a":1,}', '{,"a":1}', '{"a"}', '{"a":}', "{:1}", '{"a" 1}', '{"a"::1}',
    "{a:1}", "{1:1}", "{null:1}", '{"a":1 "b":2}', '{"a":1,"a":2}', '{"a":{"a":{"a":', '{"":""}', "[][]",
    "{}{}", "{} x", "// x\n{}", "/* x */ {}", "# x", "<xml/>", "--- yaml", "a=1&b=2", "%7B%7D", "{{}}",
    "[" * 5_000, "[" * 5_000 + "]" * 5_000, '{"a":' * 5_000 + "1" + "}" * 5_000, '[{"a":' * 1_000,
    "[" + "1," * 20_000 + "1]", "null", "true", "1", '"a"', "[]", "{}", "[null]", "[[]]", "[{}]", "[1]",
    '["a"]', "[true, {}, [], null, 1.5]", "\x0c{}", "\u00a0{}", "\u2003[]", '{"__proto__": {"x": 1}}',
    '{"constructor": 1}', '{"$ref": "#/a"}', '{"a\\u0000b": 1}',
]  # fmt: skip
BYTES = [
    b"\xff", b"\xfe\xff\x00{\x00}", b"\xff\xfe{\x00}\x00", b"\x00{\x00}", b'"\xc0\xaf"', b'"\xed\xa0\x80"',
    b'"\xf4\x90\x80\x80"', b'"\x80"', b'"\xe2\x82"', b'{"\xe9":1}', b"\x1f\x8b\x08\x00", b"PK\x03\x04",
    b"\x89PNG\r\n", b"\xef\xbb\xbf{}", b"\xef\xbb[]", b'{"id":"\xff"}', bytes(range(256)), b"\x00" * 1_000,
]  # fmt: skip
NAUGHTY = [
    "", " ", "\t", "\r\n", "\x00", "\x1b[31m", "\x7f", "\u0085", "\u200b", "\u202etxt", "\ufeff", "\u2066",
    "\ufffd", "\ufffe", "𐐷", "👩‍👩‍👧‍👦", "🏳️‍🌈", "e\u0301" * 20, "Z" + "\u0335\u0327" * 60, "ﷺ" * 50,
    "田中さん", "العربية", "ﬁ", "İ", "ß", "Ⅷ", "١٢٣", "undefined", "null", "None", "NaN", "true", "0", "-1",
    "1e309", "0x0", "1/0", "../../etc/passwd", "..\\..\\x", "/dev/null", "file:///etc/passwd", "C:\\con", "nul",
    "a/b", "%00", "%2e%2e%2f", "%s%n%x", "{0}", "{{7*7}}", "${7*7}", "#{7*7}", "$(id)", "`id`", "; ls", "| ls",
    "&& ls", "' OR 1=1 --", "'; DROP TABLE meta; --", '" OR ""="', "1; SELECT 1", "<script>alert(1)</script>",
    '"><img src=x>', "javascript:0", "]]>", "<!ENTITY x>", "<?xml?>", "\\", "\\\\", '"', "'", "\\u0000",
    "\\x00", "__proto__", "constructor", "__class__", "self", "jndi:ldap://x", "${jndi:ldap://x}", "!!python/x",
    "*alias", "&anchor", "- x", "a: b", "=1+1", "@SUM(1)", "a" * 256, "a" * 257, "a" * 300, "ä" * 256,
    "🙂" * 257, ".", "..", "CON", "a\nb", "a\rb", "a\u2028b", "1990-01-01T00:00:00Z", "c-1\x00c-2",
]  # fmt: skip


def bodies() -> list[bytes]:
    """Whole bodies: each fragment alone, in an array and as the value of a member."""
    fragments = [*NUMBERS, *WORDS, *STRINGS]
    texts = [*STRUCTURES, *fragments, *(f"[{one}]" for one in fragments), *(f'{{"id": {one}}}' for one in fragments)]
    return [*(text.encode() for text in texts), *BYTES]


def naughty_events() -> list[dict[str, object]]:
    """Events, each with one naughty string in one place."""
    found: list[dict[str, object]] = []
    for number, text in enumerate(NAUGHTY):
        for place in ("id", "source", "subject", "type", "time", "channel", "text", "reason"):
            fields: dict[str, object] = {
                "specversion": "1.0", "id": f"n-{number}-{place}", "source": "corpus", "type": "cx.message.received.v1",
                "subject": "c-naughty", "time": "2026-11-20T00:00:00Z",
            }  # fmt: skip
            data = {"channel": "email"}
            (fields if place in fields else data)[place] = text
            found.append({**fields, "data": data})
    return found


def values() -> list[bytes]:
    """Fragments of JSON that parse, for members that want something else."""
    return [one for one in map(str.encode, [*NUMBERS, *WORDS, *STRINGS, *STRUCTURES]) if _is_json(one)]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text.decode(), parse_constant=lambda name: 1 / 0)
    except (ValueError, RecursionError, ZeroDivisionError):
        return False
    return True
