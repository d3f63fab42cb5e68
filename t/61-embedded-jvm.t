#!/usr/bin/perl
# The embedded engine and its Java virtual machine: which one it takes, what it says when there is
# none, and that a process has only one.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../perl/lib";

use Test::More;

use PVE::OCI;
use PVE::OCI::JVM;

use EmbeddedTest qw($DIRECTORY $IMAGE plan_embedded);
use TestSupport qw(jdks root);

plan_embedded();

subtest 'no virtual machine' => sub {
    my $old = "$DIRECTORY/old";
    mkdir $_ or die $! for $old, "$old/lib", "$old/lib/server";
    for my $file ('release', 'lib/server/libjvm.so') {
        open(my $handle, '>', "$old/$file") or die $!;
        print $handle qq{JAVA_VERSION="1.8.0_402"\n};
    }
    my $message = sub (%options) {
        eval { PVE::OCI::detect_archive($IMAGE, { mode => 'embedded', %options }) };
        return $@;
    };
    my $begin =
        'no Java virtual machine of version 17 or newer: looked for lib/server/libjvm.so in';
    my $error = $message->(java => '/nonexistent');
    is($error, "$begin /nonexistent\n", 'missing');
    is($error->{name}, 'EngineUnavailable', 'its name');
    is($message->(java => $old), "$begin $old; $old is version 8\n", 'too old');
    local $ENV{JAVA_HOME} = $old;
    is(
        PVE::OCI::detect_archive($IMAGE)->{format}, 'ociArchive',
        'JAVA_HOME too old: another one'
    );
    local @PVE::OCI::JVM::JVM_PATTERNS = ('/none', '/none*');
    is(
        $message->(), "$begin JAVA_HOME ($old), /none, /none*; $old is version 8\n",
        'none at all'
    );
    delete local $ENV{JAVA_HOME};
    is($message->(), "$begin JAVA_HOME (not set), /none, /none*\n", 'not even JAVA_HOME');
    is(
        $message->(mode => undef),
        "cannot connect to pve-ocid at '$DIRECTORY/none': No such file or directory; $begin"
            . " JAVA_HOME (not set), /none, /none*\n", 'nor a daemon',
    );
    is(
        $message->(mode => 'daemon'),
        "cannot connect to pve-ocid at '$DIRECTORY/none': No such file or directory\n",
        'daemon only'
    );
    like(
        $message->(home => '/none', java => (jdks())[0]),
        qr/\Ano engine: looked for pve-oci.jar /, 'no jars'
    );
    local $ENV{PVE_OCI_JAVA_OPTIONS} = '-Xmx1x';
    like(
        $message->(java => (jdks())[0]), qr/\Aworker left with exit status 1: [^\n]+\n\z/,
        'it does not start'
    );
};

subtest 'a second virtual machine across a fork' => sub {
    my @cc = ('cc', '-D_GNU_SOURCE', '-pthread', '-o', "$DIRECTORY/two-jvms");
    my ($library) = PVE::OCI::JVM::find_library();
    my $include = $library =~ s{/lib/server/.*}{/include}r;
    plan(skip_all => 'no C compiler or jni.h')
        if system('sh', '-c', 'command -v cc >/dev/null') != 0 || !-e "$include/jni.h";
    my $native = root() . '/native';
    system(
        @cc, "-I$native", "-I$include", "-I$include/linux", "$FindBin::Bin/lib/two-jvms.c",
        "$native/jvm.c", '-ldl'
        ) == 0
        or die "cc failed\n";
    my $output = qx($DIRECTORY/two-jvms $library 2>/dev/null);
    is(
        $output,
        'create Java virtual machine: this process, or one that it was forked from,'
            . " has had one already\n",
        'is refused'
    );
};

done_testing();
