"""The results of unittest, and of others in its form, held against the exceptions of README.md."""

import re
import unittest


class NotingResult(unittest.TextTestResult):
    """Which tests ran, and what was wrong with those that failed; a failed subtest is its test's."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.ran, self.wrong, self.left_out = set(), {}, {}

    def startTest(self, test):
        super().startTest(test)
        self.ran.add(test.id())

    def _note(self, test, error):
        name = test.test_case.id() if hasattr(test, "test_case") else test.id()
        self.wrong.setdefault(name, self._exc_info_to_string(error, test))

    def addError(self, test, error):
        self._note(test, error)
        super().addError(test, error)

    def addFailure(self, test, error):
        self._note(test, error)
        super().addFailure(test, error)

    def addSubTest(self, test, subtest, error):
        if error:
            self._note(test, error)
        super().addSubTest(test, subtest, error)

    def addSkip(self, test, reason):
        self.left_out[test.id()] = reason
        super().addSkip(test, reason)

    def printErrors(self):
        pass  # only those that README.md does not list: judge() does it


def as_said(said, report):
    """A row "fails: `words`" is met by a failure with those words in its report, not by any other."""
    words = re.fullmatch(r"fails: `(.+)`", said or "")
    if not words:
        return "fails"
    return said if words[1] in report else "fails otherwise"


def judge(suite, listed, result, outcome=lambda said, report: None, excused=lambda said: False):
    """`result` is a NotingResult, or has its three: `ran`, `wrong` with reports, and `left_out` with reasons.

    One case for each test that failed, or that should have. `outcome` names a failure of a kind of its own; `excused`: a
    row that need not come true here."""
    said_of = {name: listed.find(name) for name in sorted(result.ran | result.wrong.keys())}
    suite.passed += len(result.ran - result.wrong.keys() - result.left_out.keys())
    for name, said in said_of.items():
        if name in result.wrong:
            with suite.case(name, listed) as case:
                case.outcome = outcome(said, result.wrong[name]) or as_said(said, result.wrong[name])
            if said != case.outcome:
                print(result.wrong[name], flush=True)
        elif said and not said.startswith("passes") and not excused(said):
            with suite.case(name, listed) as case:
                case.outcome = "passes"
    for name, reason in result.left_out.items():
        print(f"  skipped by itself: {name}: {reason}")
