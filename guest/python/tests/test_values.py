"""What a session gives back, and what it refuses."""

import doctest
import enum
import json
import unittest
from collections import OrderedDict
from datetime import datetime
from decimal import Decimal

from session3_guest import Invalid, errors, headers, http, values

NESTED = [None, True, 1, -(2**70), 1.5, "é\0", {"a": [], "": {"ö": [[]]}}]


class Colour(enum.IntEnum):
    RED = 1


def deep(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


def cyclic():
    value = []
    value.append(value)
    return value


class Values(unittest.TestCase):
    def test_each_value_has_its_case(self):
        for value, case in [
            (True, "boolean"),
            (False, "boolean"),
            (0, "integer"),
            (2**63 - 1, "integer"),
            (-(2**63), "integer"),
            (2**63, "json"),
            (-(2**63) - 1, "json"),
            (1.0, "number"),
            (-0.0, "number"),
            (5e-324, "number"),
            ("", "text"),
            ("\U0001f600\0", "text"),
            (b"\xff\0", "bytes"),
            (None, "json"),
            ([], "json"),
            ({}, "json"),
            (NESTED, "json"),
            (deep(values.MAX_DEPTH - 1), "json"),
        ]:
            found, content = values.encode("a", value)
            self.assertEqual(found, case, value)
            back = values.decode("a", found, content)
            self.assertEqual((back, repr(back), type(back)), (value, repr(value), type(value)))

    def test_what_would_change_is_refused(self):
        for value in [
            (1, 2),
            {1},
            frozenset(),
            bytearray(b"a"),
            1j,
            Decimal(1),
            datetime.now(),
            Colour.RED,
            OrderedDict(),
            object(),
            [(1,)],
            [b"a"],
            {1: 2},
            {None: 2},
            {"a": {True: 1}},
        ]:
            with self.assertRaisesRegex(TypeError, "'cart'"):
                values.encode("cart", value)
        for value in [
            float("nan"),
            float("inf"),
            [float("-inf")],
            "\ud800",
            ["\udfff"],
            {"\ud800": 1},
            deep(values.MAX_DEPTH + 1),
            cyclic(),
            10**5000,
        ]:
            with self.assertRaisesRegex(Invalid, "'cart'") as caught:
                values.encode("cart", value)
            self.assertEqual(caught.exception.status, 400)

    def test_a_text_of_json_that_has_no_value_in_python_is_refused(self):
        for text in ["", "{", "NaN", "[Infinity]", "1e999", '"\\ud800"', "[" * 1000, "[" * 99999]:
            with self.assertRaisesRegex(Invalid, "'cart'"):
                values.decode("cart", "json", text)
        self.assertEqual(values.decode("cart", "json", ' {"a" : [1e2]} '), {"a": [100.0]})

    def test_json_is_what_other_languages_read(self):
        case, text = values.encode("a", {"é": [1.5, None, "\u2028"]})
        self.assertEqual(json.loads(text), {"é": [1.5, None, "\u2028"]})
        self.assertEqual((case, text), ("json", '{"é":[1.5,null,"\u2028"]}'))


def load_tests(loader, tests, pattern):
    for module in (values, errors, http, headers):
        tests.addTests(doctest.DocTestSuite(module))
    return tests
