"""Files, uploads and pipes to mono samples."""
