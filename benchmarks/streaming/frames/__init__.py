"""Frames in the shapes that venues send, made from a seed: nothing of a recording is in them.

What a shape is was read off recordings of busy markets: the fields, how long numbers are, how many
levels a change names and how far from the best prices, how many trades come at once. Each venue's
module says what it is made after, and returns frames with how many updates they hold: changed price
levels, trades, tickers.
"""
