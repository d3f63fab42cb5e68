package PVE::OCI::CLI::Progress;

# Shows a job's progress: on a terminal one line that is redrawn and never wider than the terminal,
# elsewhere a line for each layer and every few seconds.

use v5.36;

use PVE::OCI::Text;

our $LINE_INTERVAL = 5; # seconds, where there is no terminal

my $TIOCGWINSZ = 0x5413; # asm-generic/ioctls.h
my $BAR_WIDTH = 24;
my $MIN_BAR_WIDTH = 6;
my $DEFAULT_COLUMNS = 80;

my sub count ($value) { return ($value // '') =~ /\A([0-9]+)\z/ ? $1 : 0 }

my sub duration ($seconds) {
    return sprintf('%d:%02d', $seconds / 60, $seconds % 60);
}

# The width of the terminal, which may change at any time.
sub columns ($handle) {
    # struct winsize { unsigned short ws_row, ws_col, ws_xpixel, ws_ypixel; }
    my $size = pack('S4', 0, 0, 0, 0);
    if (ioctl($handle, $TIOCGWINSZ, $size)) {
        my $columns = (unpack('S4', $size))[1];
        return $columns if $columns > 0;
    }
    return ($ENV{COLUMNS} // '') =~ /\A([1-9][0-9]{0,3})\z/ ? $1 : $DEFAULT_COLUMNS;
}

# The line with a bar as wide as $columns leave room for; what follows the bar is left out from the
# end until the line fits.
my sub fitted ($phase, $share, $columns, @more) {
    my $percent = sprintf('%3d%%', 100 * $share);
    while (1) {
        my $rest = join('  ', $percent, @more);
        my $room = $columns - length("$phase [] $rest");
        my $width = $room < $BAR_WIDTH ? $room : $BAR_WIDTH;
        if ($width >= $MIN_BAR_WIDTH) {
            my $filled = int($share * $width);
            return "$phase [" . '=' x $filled . ' ' x ($width - $filled) . "] $rest";
        }
        last if !@more;
        pop @more;
    }
    return substr("$phase $percent", 0, $columns);
}

# The redrawn line, of at most $columns: phase, bar, share, size, rate and the time that is left at
# this rate.
sub bar ($progress, $elapsed, $columns) {
    my ($read, $total) = map { count($_) } $progress->@{qw(bytesRead bytesTotal)};
    my $phase = ($progress->{phase} // '') =~ /\A([a-z]+)\z/ ? $1 : '?';
    return substr($phase, 0, $columns) if $total == 0;
    my $share = $read < $total ? $read / $total : 1;
    my @more = (PVE::OCI::Text::size($read) . ' of ' . PVE::OCI::Text::size($total));
    if ($elapsed >= 0.5 && $read > 0) {
        my $rate = $read / $elapsed;
        push @more, 'ETA ' . duration(($total - $read) / $rate) if $read < $total;
        push @more, PVE::OCI::Text::size(int($rate)) . '/s';
    }
    return fitted($phase, $share, $columns, @more);
}

# What is said where there is no terminal. Undef when there is nothing new: no other layer, and not
# enough time since the last line.
sub line ($progress, $state, $now) {
    my ($count, $read, $total, $entries) =
        map { count($_) } $progress->@{qw(layersCount bytesRead bytesTotal entriesWritten)};
    return if $count == 0 || !defined($progress->{layerIndex});
    my $layer = count($progress->{layerIndex}) + 1;
    return if $layer > $count;
    return if $layer <= $state->{layer} && $now - $state->{time} < $LINE_INTERVAL;
    $state->{time} = $now;
    $state->{layer} = $layer if $layer > $state->{layer};
    my $made = $entries == 0 ? '' : $entries == 1 ? ', 1 entry' : ", $entries entries";
    return sprintf(
        'layer %d/%d: %s of %s read (%d%%)%s',
        $layer, $count, PVE::OCI::Text::size($read), PVE::OCI::Text::size($total),
        $total > 0 ? 100 * $read / $total : 100, $made,
    );
}

# The cursor waits at the beginning of the line. When the terminal becomes narrower it wraps what it
# shows, and the cursor stays in the first of these rows; all of them are replaced next time.
# Nothing is wrapped while the line is written: the width that was asked for may be out of date
# already.
my $BEGIN = "\r\e[2K\e[?7l"; # the line is erased, wrapping is off
my $END = "\e[J\e[?7h\r";    # what is below is erased, wrapping is on again

# Returns two functions: one that takes a Progress hash and one to call at the end, whatever it was.
sub display ($handle, $is_tty) {
    my ($start, $state);
    my $clear = sub () {
        return if !$state || !$state->{is_drawn};
        print {$handle} "\r\e[2K";
        $state->{is_drawn} = 0;
    };
    my $draw = sub ($progress) {
        require Time::HiRes; # not above: while the job is at work there is time to load it
        my $now = Time::HiRes::time();
        $state //= { layer => 0, time => $now, is_drawn => 0 };
        $start //= $now;
        if (!$is_tty) {
            my $line = line($progress, $state, $now);
            print {$handle} "$line\n" if defined($line);
            return;
        }
        # one column less: a line that fills the last one makes some terminals wrap all the same
        my $columns = columns($handle) - 1;
        print {$handle} $BEGIN, bar($progress, $now - $start, $columns > 0 ? $columns : 1),
            $END;
        $state->{is_drawn} = 1;
    };
    return ($draw, $clear);
}

1;
