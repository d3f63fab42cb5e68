package PVE::OCI::RootUpdate;

# Functions for root file systems that hold a container's system: comparing one with the record of
# what its image made, and the steps of an update in place. Like those of PVE::OCI they use the
# daemon or the embedded engine. What comes back has names out of a container, and so is untrusted.

use v5.36;

use PVE::OCI;
use PVE::OCI::Rootfs;
use PVE::OCI::Varlink;

use Exporter qw(import);
our @EXPORT_OK = qw(
    apply_update compare_root_directory compare_with_image is_begun kept_before path_bytes path_text
    stage_update take_staged_record
);

my $MAX_JOURNAL_SIZE = 4 * 1024 * 1024; # as in pve.oci.update.Journal

my $STEPS = { map { $_ => 1 } qw(switch finish abandon reopen rollBack forget record) };

my sub invalid ($message) { PVE::OCI::Varlink::fail('InvalidArgument', $message) }

my sub invalid_reply ($what) {
    PVE::OCI::Varlink::fail('InvalidReply', "connection to pve-ocid lost: $what");
}

# A path as the interface has it: characters, with \xNN for bytes that are no characters.
sub path_text ($path) {
    my $is_text = utf8::is_utf8($path) || utf8::decode($path);
    $path =~ s/\\/\\x5c/g;
    $path =~ s/([\x80-\xff])/sprintf('\\x%02x', ord($1))/ge if !$is_text;
    return $path;
}

# The bytes of such a path.
sub path_bytes ($path) {
    utf8::encode($path) if utf8::is_utf8($path);
    return $path =~ s/\\x([0-9a-f]{2})/chr(hex($1))/ger;
}

# Paths to be kept that /.pve.oci.json names.
sub remembered_paths ($origin) {
    my $paths = ($origin // {})->{keep};
    return if ref($paths) ne 'ARRAY';
    return map { path_bytes($_) } grep { defined($_) && !ref($_) && !/\0/ } $paths->@*;
}

my sub kept_paths ($options) {
    my @paths = ($options->{keep} // [])->@*;
    invalid('a path to be kept holds a NUL') if grep { /\0/ } @paths;
    return [map { path_text($_) } @paths];
}

my sub checked_comparison ($reply) {
    my $comparison = $reply->{comparison};
    invalid_reply('no comparison in the last reply') if ref($comparison) ne 'HASH';
    invalid_reply('no list of changes in the last reply')
        if ref($comparison->{changes}) ne 'ARRAY'
        || grep { ref($_) ne 'HASH' } $comparison->{changes}->@*;
    return $reply;
}

sub compare_root_directory ($rootdir, $options = {}) {
    my $own = { keep => kept_paths($options) };
    return checked_comparison(
        PVE::OCI::call_for_root('CompareRootDirectory', undef, $rootdir, $own, $options),
    );
}

sub compare_with_image ($archive, $rootdir, $options = {}) {
    my $own = { keep => kept_paths($options) };
    return checked_comparison(
        PVE::OCI::call_for_root('CompareWithImage', $archive, $rootdir, $own, $options),
    );
}

sub stage_update ($archive, $rootdir, $options = {}) {
    my $own = { keep => kept_paths($options) };
    $own->{discardChanges} = \1 if $options->{discard_changes};
    return PVE::OCI::call_for_root('StageUpdate', $archive, $rootdir, $own, $options);
}

sub apply_update ($step, $rootdir, $options = {}) {
    invalid("'$step' is no step of an update") if !$STEPS->{$step};
    return PVE::OCI::call_for_root(
        'ApplyUpdate', undef, $rootdir, { step => $step }, $options,
    );
}

# Puts the record of the image that is staged from $archive in the place of the one that is there.
sub take_staged_record ($rootdir, $archive) {
    PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub {
            # a folder that somebody has put there would be in the way; the next step removes it
            rename('/.pve.oci.mtree.zst', '/.pve.oci.update/replaced');
            rename('/.pve.oci.update/new/.pve.oci.mtree.zst', '/.pve.oci.mtree.zst')
                or die "cannot put the record of '$archive' in its place: $!\n";
        },
    );
    return;
}

# Whether there may be an update or a rollback that was not finished.
sub is_begun ($rootdir) {
    return PVE::OCI::Rootfs::run_in($rootdir, \&is_begun_inside);
}

# The same, for code given to PVE::OCI::Rootfs::run_in.
sub is_begun_inside () {
    my @status = lstat('/.pve.oci.update');
    return @status || !$!{ENOENT} ? 1 : 0;
}

# Paths that the last update has kept, finished or not, by its journal. The container may have
# changed that, so it only decides which changes are reported.
sub kept_before ($rootdir) {
    my $journal = PVE::OCI::Rootfs::run_in(
        $rootdir,
        sub {
            for my $folder (qw(/.pve.oci.update /.pve.oci.previous)) {
                my $content =
                    eval { PVE::OCI::Rootfs::read_file("$folder/journal", $MAX_JOURNAL_SIZE) };
                return eval { PVE::OCI::Varlink::json()->decode($content) }
                    if defined($content);
            }
            return;
        },
    );
    my $kept = ref($journal) eq 'HASH' ? $journal->{kept} : undef;
    return if ref($kept) ne 'ARRAY';
    return map { my $path = "/$_"; utf8::downgrade($path, 1) ? $path : () }
        grep { defined($_) && !ref($_) && !/\0/ } $kept->@*;
}

1;
