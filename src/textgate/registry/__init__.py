"""Where released models live.

Each kind of registry is one class with the same methods: `current` (the champion, None only if the registry itself says
that there is none), `versions`, `register` a release folder, `promote` a version to champion, `restore` the one
before, `fetch` a verified one. Every method can be repeated after it was killed.
"""
