"""`python -m genre FILE ...`: see `genre.cli`."""

from genre.cli import command

if __name__ == "__main__":
    command()
