"""Who vouches for each file of a folder: modelscan or a strict parser."""
