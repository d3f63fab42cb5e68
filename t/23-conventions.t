# What holds for every Perl file: it compiles under taint mode without warnings, its documentation
# is well-formed, perltidy would not change it, perlcritic has no complaint, it keeps the limits on
# lines and columns, and no modules need each other in a circle.

use v5.36;

use File::Find qw(find);
use FindBin;
use Pod::Checker ();
use Test::More;

my $TREE = "$FindBin::Bin/..";

# Every Perl file of the tree, by its name or by its first line.
my sub is_perl ($path) {
    return 1 if $path =~ /\.(?:pm|t)\z/;
    return 0 if !-f $path || $path =~ /\.[a-z]+\z/;
    open(my $handle, '<:raw', $path) or return 0;
    return (readline($handle) // '') =~ /\A#!.*\bperl\b/;
}

my (@perl, @documents);
my @folders =
    grep { -d } map { "$TREE/$_" } qw(bench bin debian demo examples man native perl t);
find(
    {
        wanted => sub {
            push @perl, $_ if is_perl($_);
            push @documents, $_ if /\.pod\z/;
        },
        no_chdir => 1,
    },
    @folders,
);
my @modules = grep { m{\A\Q$TREE\E/perl/lib/} } @perl;
my @programs = grep { -e } "$TREE/bin/pve-oci";

my sub name_of ($file) { return $file =~ s{\A\Q$TREE\E/}{}r }

# Needs the modules of a Proxmox VE host, or their stand-ins.
my @stand_ins = -d "$FindBin::Bin/lib/stand-ins" ? ("-I$FindBin::Bin/lib/stand-ins") : ();

for my $file (sort(@modules), @programs) {
    my $output = qx($^X -T -I$TREE/perl/lib @stand_ins -wc $file 2>&1);
    is($output, "$file syntax OK\n", name_of($file) . ' compiles');
}

for my $file (sort(@modules, @programs, @documents)) {
    my $name = name_of($file);
    my $checker = Pod::Checker->new(-warnings => 1);
    open(my $null, '>', '/dev/null') or die $!;
    $checker->parse_from_file($file, $null);
    cmp_ok($checker->num_errors(), '<=', 0, "$name: no errors in its documentation");
    is($checker->num_warnings(), 0, "$name: no warnings in its documentation");
    open(my $handle, '<', $file) or die $!;
    my @lines = <$handle>;
    cmp_ok(scalar(@lines), '<=', 400, "$name: at most 400 lines");
}

subtest 'columns' => sub {
    for my $file (sort(@perl, @documents)) {
        open(my $handle, '<:encoding(UTF-8)', $file) or die $!;
        chomp(my @lines = <$handle>);
        my @long = grep { length($lines[$_ - 1]) > 100 || $lines[$_ - 1] =~ /\t/ } 1 .. @lines;
        is_deeply(\@long, [], name_of($file) . ': at most 100 columns, no tabs');
    }
};

subtest 'no two modules have the same last name' => sub {
    my %modules;
    for my $file (@modules) {
        my ($path, $last) = $file =~ m{/perl/lib/(.*?(\w+))\.pm\z};
        next if $path =~ m{\APVE/(?:LXC/)?OCI\z}; # each is named for the place that it extends
        push $modules{$last}->@*, $path;
    }
    is_deeply([grep { $_->@* > 1 } values %modules], [], 'no name is there twice');
};

subtest 'modules do not need each other in a circle' => sub {
    my %needs;
    for my $file (@modules) {
        open(my $handle, '<', $file) or die $!;
        my $code = join('', <$handle>) =~ s/^__END__.*//msr;
        my $name = $file =~ s{.*/perl/lib/|\.pm\z}{}gr =~ s{/}{::}gr;
        $needs{$name} = { map { $_ => 1 } $code =~ /\b(?:use|require)\s+(PVE::[\w:]+)/g };
    }
    # a module that needs none of the others is in no circle; without it, others may need none
    my $is_free = sub ($name) {
        return !grep { $needs{$_} } keys $needs{$name}->%*;
    };
    while (my @free = grep { $is_free->($_) } keys %needs) {
        delete @needs{@free};
    }
    is_deeply([sort keys %needs], [], 'no module is in a circle');
};

subtest 'perltidy' => sub {
    plan(skip_all => 'no perltidy') if !eval { require Perl::Tidy; 1 };
    for my $file (sort @perl) {
        my $errors = '';
        Perl::Tidy::perltidy(
            argv => [],
            perltidyrc => "$TREE/.perltidyrc",
            source => $file,
            destination => \my $tidy,
            stderr => \$errors,
            errorfile => \my $messages,
        );
        open(my $handle, '<', $file) or die $!;
        my $text = do { local $/ = undef; <$handle> };
        ok($tidy eq $text, name_of($file) . ' is tidy (make tidy)') or diag($errors);
    }
};

subtest 'perlcritic' => sub {
    plan(skip_all => 'no perlcritic') if !eval { require Perl::Critic; 1 };
    my $critic = Perl::Critic->new(-profile => "$TREE/.perlcriticrc");
    for my $file (sort @perl) {
        my @found = map { "$_" } $critic->critique($file);
        is_deeply(\@found, [], name_of($file));
    }
};

done_testing();
