"""Samples to clips, windows and log-mel spectrograms; their augmentation; the spectrogram image."""
