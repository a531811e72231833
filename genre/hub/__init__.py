"""Model cards are written, and models and the page published on the Hugging Face Hub."""
