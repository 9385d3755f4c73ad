"""Tests what recognizer.py makes of texts and reports."""

import unittest

import recognizer


class Texts(unittest.TestCase):
    def test_sentences_have_no_punctuation(self):
        text = ' = A Heading = \nHe did n\'t know . " It \'s I , " said\nMr <unk> ; won \' t do -- so ?'
        found = list(recognizer.sentences(text))
        self.assertEqual(found[0], "he did n't know")
        self.assertEqual(found[1:], ["it's i said mr <unk>", "won't do so"])

    def test_only_plain_sentences_are_spoken(self):
        spoken = [recognizer.can_be_spoken(text) for text in ["we had it all", "no <unk> is said", "it was 7 o'clock", "no"]]
        self.assertEqual(spoken, [True, False, False, False])


class Reports(unittest.TestCase):
    def test_edits(self):
        self.assertEqual(recognizer.edits("recognize speech", "wreck a nice beach"), 4)
        self.assertEqual(recognizer.edits("a b c", "a c"), 1)
        self.assertEqual(recognizer.edits("", "a"), 1)

    def test_tuned_weights_are_read(self):
        report = "weight        0.56  tuned\nword bonus      -1  given\nword error rate after  1.00 %  1 errors in 100 words\n"
        self.assertEqual(recognizer.weights(report), {"weight": "0.56", "word bonus": "-1"})


if __name__ == "__main__":
    unittest.main()
