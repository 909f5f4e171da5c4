"""What the workflows ask of GitHub: the API, the run's evidence, its pull request, the comment."""
