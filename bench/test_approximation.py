"""Tests the statistics of approximation.py."""

import unittest

import approximation


class Agreement(unittest.TestCase):
    def test_ranks_of_ties_are_their_mean(self):
        self.assertEqual(approximation.ranks([5.0, 1.0, 5.0, 7.0]), [1.5, 0.0, 1.5, 3.0])

    def test_correlation_of_ranks(self):
        self.assertAlmostEqual(approximation.spearman([1, 2, 3, 4], [10, 200, 201, 5000]), 1.0)
        self.assertAlmostEqual(approximation.spearman([1, 2, 3, 4], [4, 3, 2, 1]), -1.0)
        # 1 - 6 · (0 + 0 + 1 + 1) / (4 · 15)
        self.assertAlmostEqual(approximation.spearman([1, 2, 3, 4], [1, 2, 4, 3]), 0.8)

    def test_row(self):
        exact = [{"tokens": 2, "log_prob": -4.0}, {"tokens": 3, "log_prob": -9.0}]
        approximate = [{"tokens": 2, "log_prob": -4.2}, {"tokens": 3, "log_prob": -9.0}]
        row = approximation.agreement_row(exact, approximate)
        # exp(13 / 5), exp(13.2 / 5); half of exp(0.1) - 1.
        self.assertEqual(row, "| 2 | 13.46 | 14.01 | +4.08 % | 5.26 % | 1.00000 |")

    def test_blank_and_impossible_lines_are_left_out(self):
        lines = '{"tokens":1,"log_prob":-1.0}\n{"tokens":4,"log_prob":null}\n{"tokens":4,"log_prob":-7.5}\n'
        self.assertEqual(approximation.records(lines), [{"tokens": 4, "log_prob": -7.5}])


if __name__ == "__main__":
    unittest.main()
