rootProject.name = "tools"
include("core", "cli")
