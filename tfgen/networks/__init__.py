"""Shapes of networks that several papers share, built from `keras.Input`."""
