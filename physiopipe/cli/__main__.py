"""`python -m physiopipe.cli`: what torchrun starts."""

from physiopipe.cli import main

if __name__ == "__main__":
    main()
