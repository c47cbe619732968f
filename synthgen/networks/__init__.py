"""Networks: plain modules that know images and labels and nothing of training."""
