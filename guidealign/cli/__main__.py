"""`python -m guidealign.cli` is the `guidealign` program."""

from guidealign.cli import main

if __name__ == "__main__":
    main()
