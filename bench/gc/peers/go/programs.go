// The programs of bench/gc in Go: programs PROGRAM SIZE.
package main

import (
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"sort"
	"strconv"
	"syscall"
	"time"
)

type treeNode struct {
	left, right *treeNode
}

func makeTree(depth int) *treeNode {
	made := &treeNode{}
	if depth > 0 {
		made.left = makeTree(depth - 1)
		made.right = makeTree(depth - 1)
	}
	return made
}

func (tree *treeNode) count() uint64 {
	if tree.left == nil {
		return 1
	}
	return 1 + tree.left.count() + tree.right.count()
}

func binaryTrees(most int) uint64 {
	sum := makeTree(most + 1).count()
	longLived := makeTree(most)
	for depth := 4; depth <= most; depth += 2 {
		rounds := 1 << (most - depth + 4)
		for i := 0; i < rounds; i++ {
			sum += makeTree(depth).count()
		}
	}
	return sum + longLived.count()
}

type benchNode struct {
	left, right *benchNode
	i, j        int32
}

func populate(depth int, at *benchNode) {
	if depth <= 0 {
		return
	}
	at.left = &benchNode{}
	at.right = &benchNode{}
	populate(depth-1, at.left)
	populate(depth-1, at.right)
}

func build(depth int) *benchNode {
	made := &benchNode{}
	if depth > 0 {
		made.left = build(depth - 1)
		made.right = build(depth - 1)
	}
	return made
}

func (tree *benchNode) count() uint64 {
	if tree.left == nil {
		return 1
	}
	return 1 + tree.left.count() + tree.right.count()
}

func gcbench(depth int) uint64 {
	sum := build(depth + 2).count()
	longLived := &benchNode{}
	populate(depth, longLived)
	length := 500000 << (depth - 16)
	numbers := make([]float64, length)
	for i := 0; i < length/2; i++ {
		numbers[i] = 1.0 / float64(i+1)
	}
	sizeOf := func(d int) uint64 { return 1<<(d+1) - 1 }
	for d := 4; d <= depth; d += 2 {
		rounds := 2 * sizeOf(depth+2) / sizeOf(d)
		for i := uint64(0); i < rounds; i++ {
			top := &benchNode{}
			populate(d, top)
			if top.left != nil {
				sum++
			}
		}
		for i := uint64(0); i < rounds; i++ {
			if build(d).left != nil {
				sum++
			}
		}
	}
	sum += longLived.count()
	if numbers[1000] == 1.0/1001 {
		sum++
	}
	return sum
}

type payload struct {
	words [6]uint64
}

type entry struct {
	key                 uint64
	chain, newer, older *entry
	data                *payload
}

type cache struct {
	table          []*entry
	newest, oldest *entry
	mask           uint64
	capacity, size int
}

func newCache(capacity int) *cache {
	buckets := uint64(1) << bits.Len64(uint64(capacity-1))
	return &cache{table: make([]*entry, buckets), mask: buckets - 1, capacity: capacity}
}

func (all *cache) bucket(key uint64) **entry {
	return &all.table[key*0x9e3779b97f4a7c15>>20&all.mask]
}

func (all *cache) touch(key uint64) uint64 {
	found := *all.bucket(key)
	for found != nil && found.key != key {
		found = found.chain
	}
	if found != nil {
		found.data.words[0]++
		return 1
	}
	if all.size == all.capacity {
		all.dropOldest()
	}
	all.insert(key)
	return 0
}

func (all *cache) insert(key uint64) {
	made := &entry{key: key, data: &payload{}}
	bucket := all.bucket(key)
	made.chain = *bucket
	*bucket = made
	if all.newest != nil {
		made.older = all.newest
		all.newest.newer = made
	} else {
		all.oldest = made
	}
	all.newest = made
	all.size++
}

func (all *cache) dropOldest() {
	old := all.oldest
	link := all.bucket(old.key)
	for *link != old {
		link = &(*link).chain
	}
	*link = old.chain
	all.oldest = old.newer
	all.oldest.older = nil
	old.newer = nil
	all.size--
}

func lru(capacity int) uint64 {
	all := newCache(capacity)
	state := uint64(88172645463325252)
	next := func() uint64 {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state % uint64(2*capacity)
	}
	hits := uint64(0)
	for i := 0; i < 2*capacity; i++ {
		hits += all.touch(next())
	}
	times := make([]uint32, 3*capacity)
	for i := range times {
		key := next()
		before := time.Now()
		hits += all.touch(key)
		times[i] = uint32(time.Since(before).Nanoseconds())
	}
	sort.Slice(times, func(a, b int) bool { return times[a] < times[b] })
	at := func(share float64) uint32 { return times[int(share*float64(len(times)-1))] }
	fmt.Printf("lru_ns p50 %d p99 %d p99.9 %d p99.99 %d max %d\n", at(0.5), at(0.99), at(0.999), at(0.9999), at(1))
	return hits
}

func main() {
	programs := map[string]func(int) uint64{"binary_trees": binaryTrees, "gcbench": gcbench, "lru": lru}
	if len(os.Args) != 3 || programs[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: programs binary_trees|gcbench|lru SIZE")
		os.Exit(2)
	}
	size, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	before := time.Now()
	sum := programs[os.Args[1]](size)
	wall := time.Since(before).Seconds()
	var used syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	fmt.Printf("%s go %d checksum %d wall_s %.3f processor_s %.3f peak_mib %d cycles %d\n", os.Args[1], size, sum, wall,
		float64(used.Utime.Nano()+used.Stime.Nano())/1e9, used.Maxrss/1024, memory.NumGC)
}
