# ruff: noqa
def made():
    return {}["a key that is not there"]


VALUE = made()
