# Hashes, arrays, regular expressions and sorting; prints the results.
use strict;
use warnings;

my %count;
for my $index (0 .. 80000) { $count{"key" . ($index * 7919) % 10007} += $index; }
my @ordered = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print "$_ $count{$_}\n" for @ordered[0 .. 200];

my $text = join(" ", map { "item$_" } 0 .. 40000);
my $matches = () = $text =~ /(\d)\d*\1\b/g;
print "$matches matches in ", length($text), "\n";
$text =~ s/item(\d+)/$1 % 3 ? "odd$1" : "even"/ge;
print substr($text, 0, 500), "\n";

my @matrix = map { my $row = $_; [map { $row * $_ % 97 } 0 .. 150] } 0 .. 150;
my @product;
for my $i (0 .. 60) {
  for my $j (0 .. 60) {
    my $sum = 0;
    $sum += $matrix[$i][$_] * $matrix[$_][$j] for 0 .. 150;
    $product[$i][$j] = $sum;
  }
}
print join(",", @$_), "\n" for @product;

my $deep = {};
my $place = $deep;
for my $level (1 .. 2000) { $place->{next} = {level => $level, data => [1 .. $level % 20]}; $place = $place->{next}; }
my $total = 0;
for ($place = $deep->{next}; $place; $place = $place->{next}) { $total += $place->{level} * @{$place->{data}}; }
print "$total\n";
