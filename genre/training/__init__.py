"""From folders of music or prepared arrays to a trained, fused, calibrated and measured checkpoint."""
