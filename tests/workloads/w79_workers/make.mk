# Twenty-four jobs, each a shell with children of its own; `deep` makes them in three makes of a make.
PARTS := a b c
ITEMS := 1 2 3 4 5 6 7 8
all: $(foreach part,$(PARTS),$(addprefix job-$(part),$(ITEMS)))
deep: $(addprefix part-,$(PARTS))
part-%:
	@$(MAKE) -s -f make.mk $(addprefix job-$*,$(ITEMS))
job-%:
	@sleep 0.06; sleep 0.02
.PHONY: all deep
