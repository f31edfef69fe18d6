# Starts a program of the holder: in a session of its own, and marked as one that memory reclaim must not wait for.
# PR_SET_IO_FLUSHER keeps the kernel from writing back dirty pages of our own device while it finds memory for the
# engine, which would wait for the engine. It survives exec. Without the privilege (CAP_SYS_RESOURCE) we go on without.
use strict;
use warnings;
use POSIX ();

my $PR_SET_IO_FLUSHER = 57;
my %prctl = ('x86_64' => 157, 'aarch64' => 167);

POSIX::setsid();
# A shell starts what runs in the background with these two ignored.
$SIG{INT} = $SIG{QUIT} = 'DEFAULT';
my $number = $prctl{(POSIX::uname())[4]};
syscall($number, $PR_SET_IO_FLUSHER, 1, 0, 0, 0) if defined $number;
exec { $ARGV[0] } @ARGV or print STDERR "forebay: cannot run $ARGV[0]: $!\n";
exit 127;
