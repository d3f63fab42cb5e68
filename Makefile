# pve-oci: make (build), make demo, make check, make deps, make tidy, make clean.
# What is built goes below target/; bin/pve-ocid and bin/pve-oci run from the tree.

MVN = mvn -B -q
T = target
NATIVE = $(T)/native

# The JDK that the class-data archives are made for: the one that bin/pve-ocid takes.
JAVA_HOME ?= $(patsubst %/bin/javac,%,$(realpath $(shell command -v javac)))
export JAVA_HOME

JAVA_SOURCES = $(shell find java/src/main -type f 2>/dev/null)

# directory in zstd-jni's jar, in JNA's
ARCH_amd64 = amd64 x86-64
ARCH_arm64 = aarch64 aarch64
ARCH := $(ARCH_$(shell dpkg --print-architecture))

all: $(T)/pve-oci.jar native

$(T)/pve-oci.jar: pom.xml $(JAVA_SOURCES)
	$(MVN) package -DskipTests
	@touch $@

# Libraries that JNA and zstd-jni would unpack below /tmp; the worker has no /tmp.
$(NATIVE)/libjnidispatch.so: $(T)/pve-oci.jar
	mkdir -p $(NATIVE)
	unzip -qojd $(NATIVE) $(T)/lib/jna-*.jar com/sun/jna/linux-$(word 2,$(ARCH))/libjnidispatch.so
	unzip -qojd $(NATIVE) $(T)/lib/zstd-jni-*.jar 'linux/$(word 1,$(ARCH))/libzstd-jni-*.so'
	mv $(NATIVE)/libzstd-jni-*.so $(NATIVE)/libzstd-jni.so
	@touch $@

native: $(NATIVE)/libjnidispatch.so
	$(MAKE) -sC native JDK=$(JAVA_HOME)
	$(MAKE) -sf native/pve-init.mk

clean:
	rm -rf $(T)

.PHONY: all native clean
