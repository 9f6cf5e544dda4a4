"""What the loss of a paper is made of: losses, penalties, distributions and more."""
