class Settings:
    tenant = "main"


def get_settings():
    with open("settings.json") as file:
        file.read()
    return Settings()
