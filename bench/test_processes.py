"""The law of several processes, without measuring anything."""

import unittest

from processes import BACKWARD, exchanged_bytes, step_s


class Law(unittest.TestCase):
    def test_one_process_takes_its_own_time(self):
        self.assertEqual(step_s(0.1, 1e9, 1e6, 1, 1), 0.1)

    def test_an_exchange_that_the_backward_pass_hides_costs_nothing(self):
        # 2 processes exchange as many bytes as there are gradients: 1 MB at 10 Gbit/s take 0.8 ms.
        found = step_s(0.1, 1e6, 0, 2, 10)
        self.assertAlmostEqual(found, 0.05 + 60e-6)

    def test_a_slow_network_decides(self):
        dense = 100e6
        found = step_s(0.1, dense, 0, 2, 1)
        self.assertAlmostEqual(found, 0.05 + dense * 8 / 1e9 - BACKWARD * 0.05 + 60e-6)

    def test_a_sampled_softmax_exchanges_rows(self):
        vocabulary, width = 10_000, 200
        parameters = vocabulary * width + 650_000
        self.assertEqual(exchanged_bytes(parameters, ["--softmax", "full"], vocabulary), (4 * parameters, 0))
        dense, rows = exchanged_bytes(parameters, ["--softmax", "sampled:512"], vocabulary)
        self.assertLess(dense + 2 * rows, 4 * parameters)


if __name__ == "__main__":
    unittest.main()
