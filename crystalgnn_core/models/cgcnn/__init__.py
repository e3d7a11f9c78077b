"""The crystal graph convolutional network of Xie and Grossman (2018)."""
