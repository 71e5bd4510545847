"""Decoding states of predictors."""
