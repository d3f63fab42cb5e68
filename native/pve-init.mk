# Builds /.pve.init for each architecture that there is a compiler for: make -f native/pve-init.mk
# Needs gcc and gcc-aarch64-linux-gnu (gcc-x86-64-linux-gnu on arm64).

HERE := $(dir $(lastword $(MAKEFILE_LIST)))
OUT ?= $(HERE)../target/native

CC_amd64 ?= x86_64-linux-gnu-gcc
CC_arm64 ?= aarch64-linux-gnu-gcc

INIT_PARTS := system file network explain
INIT_SOURCES := $(HERE)pve-init.c $(INIT_PARTS:%=$(HERE)init-%.c)
INIT_HEADERS := $(INIT_PARTS:%=$(HERE)init-%.h)

# There is no C library and no start file. -fno-tree-loop-distribute-patterns: gcc would call memset, which is not
# there.
INIT_CFLAGS := -std=c11 -Os -static -nostdlib -ffreestanding -fno-pie -no-pie -fno-stack-protector \
	-fno-asynchronous-unwind-tables -fno-ident -fno-tree-loop-distribute-patterns -flto \
	-Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
INIT_LDFLAGS := -s -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,norelro -Wl,-z,noseparate-code \
	-Wl,-z,max-page-size=4096

.PHONY: init
init: $(OUT)/init/amd64/pve.init $(OUT)/init/arm64/pve.init

$(OUT)/init/%/pve.init: $(INIT_SOURCES) $(INIT_HEADERS) $(HERE)pve-init.mk
	mkdir -p $(dir $@)
	$(CC_$*) $(INIT_CFLAGS) $(INIT_LDFLAGS) -o $@ $(INIT_SOURCES)
