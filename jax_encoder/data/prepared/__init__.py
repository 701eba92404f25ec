"""A corpus of any size, tokenised once into a folder that training reads at random."""
