# pve-oci. Two commands do everything, set-up included: make demo, make check.
#   make        builds to target/; bin/pve-ocid and bin/pve-oci then run from the tree
#   make deps   installs what building, running and testing need (apt, as root)
#   make demo   makes a real image, extracts it by a private daemon, shows the result
#   make check  runs every check and test
#   make deb    packages, in target/deb; RELEASE=bookworm or trixie, built in a chroot of that release
#   make check-packages  installs them in a container of that release, and tests them there
#   make bench  measures beside other programs, BENCH='...' says how much (bench/README.md)
#   make tidy   mends the format of Java and Perl
# The default JDK is used; another one: make JAVA_HOME=/usr/lib/jvm/...

SHELL = /bin/bash
MVN = mvn -B
T = target
NATIVE = $(T)/native

JAVA_HOME ?= $(patsubst %/bin/javac,%,$(realpath $(shell command -v javac)))
export JAVA_HOME

JAVA_SOURCES = $(shell find java/src/main -type f)

# directory in the jars of zstd-jni, JNA, junixsocket
ARCH_amd64 = amd64 x86-64 amd64
ARCH_arm64 = aarch64 aarch64 aarch64
ARCH := $(ARCH_$(shell dpkg --print-architecture))

PACKAGES_BUILD = default-jdk-headless maven gcc libc6-dev libseccomp-dev make unzip \
	gcc-aarch64-linux-gnu libperl-dev zip
PACKAGES_RUN = libisal2 libseccomp2 libssl3 libjson-perl libjson-xs-perl perl uidmap
PACKAGES_TEST = acl attr btrfs-progs busybox-static debian-archive-keyring docker-registry e2fsprogs \
	libarchive-tools libtest-mockmodule-perl lxc mmdebstrap perltidy libperl-critic-perl pigz python3 \
	qemu-user-static skopeo shellcheck systemd tmux umoci util-linux zstd
PACKAGES_DEB = debian-archive-keyring mmdebstrap systemd-container
PACKAGES = $(PACKAGES_BUILD) $(PACKAGES_RUN) $(PACKAGES_TEST)

all: $(T)/pve-oci.jar native perl-xs class-data

deps:
	@missing=$$(dpkg-query -Wf '$${db:Status-Abbrev} $${Package}\n' $(PACKAGES) 2>/dev/null \
		| awk '/^ii/ {print $$2}' | sort | comm -13 - <(printf '%s\n' $(PACKAGES) | sort)); \
	if [ -n "$$missing" ]; then \
		apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=300 \
			install --no-install-recommends $$missing; \
	fi

$(T)/pve-oci.jar: pom.xml $(JAVA_SOURCES)
	$(MVN) -q package -DskipTests
	@touch $@

# Libraries that JNA, zstd-jni and junixsocket would unpack below /tmp; the worker has no /tmp.
$(NATIVE)/libjnidispatch.so: $(T)/pve-oci.jar
	@mkdir -p $(NATIVE)
	@unzip -qojd $(NATIVE) $(T)/lib/jna-[0-9]*.jar com/sun/jna/linux-$(word 2,$(ARCH))/libjnidispatch.so
	@unzip -qojd $(NATIVE) $(T)/lib/zstd-jni-*.jar 'linux/$(word 1,$(ARCH))/libzstd-jni-*.so'
	@mv $(NATIVE)/libzstd-jni-*.so $(NATIVE)/libzstd-jni.so
	@unzip -qojd $(NATIVE) $(T)/lib/native/junixsocket-native-common-*.jar \
		'lib/$(word 3,$(ARCH))-Linux-clang/jni/libjunixsocket-native-*[0-9].so'
	@mv $(NATIVE)/libjunixsocket-native-*.so $(NATIVE)/libjunixsocket-native.so
	@touch $@

native: $(NATIVE)/libjnidispatch.so
	@$(MAKE) -sC native JDK=$(JAVA_HOME)
	@$(MAKE) -sf native/pve-init.mk

# PVE::OCI::JVM, the engine embedded in Perl
perl-xs:
	@$(MAKE) -sC perl/xs JDK=$(JAVA_HOME)

# Made from the jars and the launcher's libraries; needed again whenever a jar changes.
class-data: $(T)/worker.jsa

$(T)/worker.jsa: $(T)/pve-oci.jar $(NATIVE)/libjnidispatch.so bin/pve-oci-class-data
	@bin/pve-oci-class-data $(T) $(JAVA_HOME)

demo: deps
	@$(MAKE) -s all
	@demo/run

check: deps
	@$(MAKE) -s check-installed

# mvn verify: format, errorprone, NullAway, warnings as errors, unit tests, package table
check-installed:
	shellcheck bin/pve-ocid demo/run demo/update .ci/run debian/{build,check,stop-when-idle} \
		debian/pve-oci.p{ostinst,rerm,ostrm} debian/tests/{extract,socket-activation,units,upgrade-and-purge}
	podchecker -warnings $$(git ls-files 'perl/*.pod' 'man/*.pod')
	# the layer of packages for t/58 meanwhile: it is mostly downloaded and unpacked, on one processor
	perl -Iperl/lib -It/lib -MApplications=base -e base >/dev/null 2>&1 & $(MVN) verify; status=$$?; wait; exit $$status
	@$(MAKE) -s all
	# five files at a time, many of which wait more than they compute: the longest; updates and clients; those with
	# containers, whose mount namespaces would keep each other's devices busy; faults and strangers; formats and the
	# command; the rest, for which there is room when the longest has ended
	prove -r --timer -j5 --rules 'par=t/30-*.t' --rules 'seq=t/{52,53,54,70,75,76}-*.t' \
		--rules 'seq=t/{5,60,61,62,64}*.t' --rules 'seq=t/8*.t' \
		--rules 'seq=t/{0,2,31,32}*.t' --rules 'seq=**' t/

# As far as the package needs it; debian/rules calls it. What Java is made of is built already.
PREFIX = /usr
HOME_DIR = $(DESTDIR)$(PREFIX)/lib/pve-oci
PERL_DIR = $(DESTDIR)$(PREFIX)/share/perl5
PERL_ARCH_DIR = $(DESTDIR)$(shell perl -MConfig -e 'print $$Config{vendorarch}')
SHARE_DIR = $(DESTDIR)$(PREFIX)/share/pve-oci
MAN_DIR = $(DESTDIR)$(PREFIX)/share/man
COMPLETIONS = $(DESTDIR)$(PREFIX)/share/bash-completion/completions

# Libraries of every platform in the jars: 8 MB. The one that is needed stands beside them.
FOREIGN_LIBRARIES = '*.so' '*.dll' '*.jnilib' '*.dylib' '*.a'

install:
	install -Dm 644 -t $(HOME_DIR) $(T)/pve-oci.jar
	install -Dm 644 -t $(HOME_DIR)/classes java/src/main/resources/*.varlink
	install -Dm 644 -t $(HOME_DIR)/lib $(T)/lib/*.jar
	install -Dm 644 -t $(HOME_DIR)/lib/daemon $(T)/lib/daemon/*.jar
	for jar in $(HOME_DIR)/lib/{jna,zstd-jni}-*.jar; do zip -qd $$jar $(FOREIGN_LIBRARIES) || exit 1; done
	install -Dm 644 -t $(HOME_DIR)/native $(NATIVE)/*.so
	install -Dm 755 -t $(HOME_DIR)/native $(NATIVE)/pve-oci-worker
	for a in amd64 arm64; do install -D -t $(HOME_DIR)/init/$$a $(NATIVE)/init/$$a/pve.init || exit 1; done
	install -Dm 755 -t $(HOME_DIR) bin/pve-oci-class-data debian/stop-when-idle
	install -Dm 755 -t $(DESTDIR)$(PREFIX)/sbin bin/pve-ocid
	install -Dm 755 -t $(DESTDIR)$(PREFIX)/bin bin/pve-oci
	cd perl/lib && find PVE '(' -name '*.p[ml]' -o -name '*.varlink' ')' \
		-exec install -Dm 644 {} $(abspath $(PERL_DIR))/{} \;
	install -Dm 644 -t $(PERL_ARCH_DIR)/auto/PVE/OCI/JVM $(T)/perl/auto/PVE/OCI/JVM/JVM.so
	mkdir -p $(T)/man $(DESTDIR)/etc
	install -Dm 644 -t $(SHARE_DIR)/patches perl/patches/*.patch
	install -Dm 644 -t $(SHARE_DIR)/PVE/RS examples/PVE/RS/OCI.pm
	man/make-pages $(T)/man
	for n in 1 3 5 7 8; do install -Dm 644 -t $(MAN_DIR)/man$$n $(T)/man/*.$$n* || exit 1; done
	bin/pve-ocid --print-config > $(DESTDIR)/etc/pve-ocid.conf
	install -d $(COMPLETIONS) && bin/pve-oci completion > $(COMPLETIONS)/pve-oci

# Packages for a Debian release, in target/deb/RELEASE, built in a chroot of that release; this machine's by default.
# make deb RELEASE=bookworm, RELEASE=trixie; make check-packages RELEASE=... installs and tests them there.
RELEASE ?= $(shell . /etc/os-release && echo $$VERSION_CODENAME)

deps-deb:
	@$(MAKE) -s deps PACKAGES='$(PACKAGES_BUILD) $(PACKAGES_DEB)'

export MAINTAINER HOMEPAGE BUGS
deb: deps-deb
	@$(MAKE) -s $(T)/pve-oci.jar
	debian/build $(RELEASE)

check-packages: deps-deb
	@test -d $(T)/deb/$(RELEASE) || $(MAKE) -s deb RELEASE=$(RELEASE)
	debian/check $(RELEASE)

tidy:
	$(MVN) -q spotless:apply
	perltidy -b -bext=/ $$(git ls-files | xargs grep -lE -m1 '^#!.*\bperl\b|^package PVE' \
		| grep -vE '\.(md|patch|pod)$$') $$(git ls-files 't/*.t' 't/*.pm')

# As root. BENCH='--rounds 3 --images debian' says how much of it, see bench/README.md.
bench: all
	bench/run $(BENCH)

clean:
	rm -rf $(T)

.PHONY: all deps deps-deb native perl-xs class-data demo check check-installed check-packages bench install deb \
	tidy clean
