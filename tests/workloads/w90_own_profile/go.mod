module w90

go 1.19
