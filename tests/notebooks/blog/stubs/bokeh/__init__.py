"""Nothing is plotted in this world."""
