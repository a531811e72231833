"""Log-mel spectrograms are computed of samples, augmented, and drawn as an image."""
