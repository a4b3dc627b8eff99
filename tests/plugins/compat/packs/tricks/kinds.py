# ruff: noqa


class OnlyNe(str):
    def __ne__(self, other):
        return False


ANY = OnlyNe("*")


class SmartType(str):
    """Equal to every type that both lists name."""

    def __ne__(self, other):
        if self == "*" or other == "*":
            return False
        return not (set(self.split(",")) & set(str.__str__(other).split(",")))


class ByPass(tuple):
    def __getitem__(self, index):
        return super().__getitem__(0 if index > 0 else index)


class Loras(dict):
    def __contains__(self, key):
        return key.startswith("lora_") or dict.__contains__(self, key)

    def __getitem__(self, key):
        return dict.__getitem__(self, key) if dict.__contains__(self, key) else (ANY, {})


class AllContainer:
    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return (ANY, {})


class ContainsAll(dict):
    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return super().get(key, (None, {}))
