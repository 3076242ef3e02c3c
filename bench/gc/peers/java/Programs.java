// The programs of bench/gc in Java: java Programs PROGRAM SIZE. Peak and processor time are the caller's to measure.
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.util.Arrays;

final class Programs {
  static final class TreeNode {
    TreeNode left;
    TreeNode right;

    static TreeNode make(int depth) {
      TreeNode made = new TreeNode();
      if (depth > 0) {
        made.left = make(depth - 1);
        made.right = make(depth - 1);
      }
      return made;
    }

    long count() {
      return left == null ? 1 : 1 + left.count() + right.count();
    }
  }

  static long binaryTrees(int most) {
    long sum = TreeNode.make(most + 1).count();
    TreeNode longLived = TreeNode.make(most);
    for (int depth = 4; depth <= most; depth += 2) {
      int rounds = 1 << (most - depth + 4);
      for (int i = 0; i < rounds; ++i) {
        sum += TreeNode.make(depth).count();
      }
    }
    return sum + longLived.count();
  }

  static final class BenchNode {
    BenchNode left;
    BenchNode right;
    int i;
    int j;

    void populate(int depth) {
      if (depth <= 0) {
        return;
      }
      left = new BenchNode();
      right = new BenchNode();
      left.populate(depth - 1);
      right.populate(depth - 1);
    }

    static BenchNode build(int depth) {
      BenchNode made = new BenchNode();
      if (depth > 0) {
        made.left = build(depth - 1);
        made.right = build(depth - 1);
      }
      return made;
    }

    long count() {
      return left == null ? 1 : 1 + left.count() + right.count();
    }
  }

  static long sizeOf(int depth) {
    return (1L << (depth + 1)) - 1;
  }

  static long gcbench(int depth) {
    long sum = BenchNode.build(depth + 2).count();
    BenchNode longLived = new BenchNode();
    longLived.populate(depth);
    int length = 500_000 << (depth - 16);
    double[] numbers = new double[length];
    for (int i = 0; i < length / 2; ++i) {
      numbers[i] = 1.0 / (i + 1);
    }
    for (int d = 4; d <= depth; d += 2) {
      long rounds = 2 * sizeOf(depth + 2) / sizeOf(d);
      for (long i = 0; i < rounds; ++i) {
        BenchNode top = new BenchNode();
        top.populate(d);
        sum += top.left != null ? 1 : 0;
      }
      for (long i = 0; i < rounds; ++i) {
        sum += BenchNode.build(d).left != null ? 1 : 0;
      }
    }
    return sum + longLived.count() + (numbers[1000] == 1.0 / 1001 ? 1 : 0);
  }

  static final class Entry {
    long key;
    Entry chain;
    Entry newer;
    Entry older;
    long[] data;
  }

  static final class Cache {
    final Entry[] table;
    final int capacity;
    Entry newest;
    Entry oldest;
    int size;

    Cache(int capacity) {
      this.capacity = capacity;
      table = new Entry[1 << (32 - Integer.numberOfLeadingZeros(capacity - 1))];
    }

    int bucket(long key) {
      return (int) (key * 0x9e3779b97f4a7c15L >>> 20) & (table.length - 1);
    }

    int touch(long key) {
      Entry found = table[bucket(key)];
      while (found != null && found.key != key) {
        found = found.chain;
      }
      if (found != null) {
        found.data[0] += 1;
        return 1;
      }
      if (size == capacity) {
        dropOldest();
      }
      insert(key);
      return 0;
    }

    private void insert(long key) {
      Entry made = new Entry();
      made.data = new long[6];
      made.key = key;
      int bucket = bucket(key);
      made.chain = table[bucket];
      table[bucket] = made;
      if (newest != null) {
        made.older = newest;
        newest.newer = made;
      } else {
        oldest = made;
      }
      newest = made;
      ++size;
    }

    private void dropOldest() {
      Entry old = oldest;
      int bucket = bucket(old.key);
      if (table[bucket] == old) {
        table[bucket] = old.chain;
      } else {
        Entry before = table[bucket];
        while (before.chain != old) {
          before = before.chain;
        }
        before.chain = old.chain;
      }
      oldest = old.newer;
      oldest.older = null;
      old.newer = null;
      --size;
    }
  }

  static long state = 88172645463325252L;

  static long next(long below) {
    state ^= state << 13;
    state ^= state >>> 7;
    state ^= state << 17;
    return Long.remainderUnsigned(state, below);
  }

  static long lru(int capacity) {
    Cache all = new Cache(capacity);
    long below = 2L * capacity;
    long hits = 0;
    for (int i = 0; i < 2 * capacity; ++i) {
      hits += all.touch(next(below));
    }
    int[] times = new int[3 * capacity];
    for (int i = 0; i < times.length; ++i) {
      long key = next(below);
      long before = System.nanoTime();
      hits += all.touch(key);
      times[i] = (int) (System.nanoTime() - before);
    }
    Arrays.sort(times);
    System.out.printf("lru_ns p50 %d p99 %d p99.9 %d p99.99 %d max %d%n", at(times, 0.5), at(times, 0.99),
        at(times, 0.999), at(times, 0.9999), at(times, 1));
    return hits;
  }

  static int at(int[] sorted, double share) {
    return sorted[(int) (share * (sorted.length - 1))];
  }

  public static void main(String[] words) {
    if (words.length != 2) {
      System.err.println("usage: java Programs binary_trees|gcbench|lru SIZE");
      System.exit(2);
    }
    int size = Integer.parseInt(words[1]);
    long before = System.nanoTime();
    long sum;
    switch (words[0]) {
      case "binary_trees" -> sum = binaryTrees(size);
      case "gcbench" -> sum = gcbench(size);
      case "lru" -> sum = lru(size);
      default -> throw new IllegalArgumentException(words[0]);
    }
    double wall = (System.nanoTime() - before) / 1e9;
    long cycles = 0;
    for (GarbageCollectorMXBean collector : ManagementFactory.getGarbageCollectorMXBeans()) {
      cycles += collector.getCollectionCount();
    }
    System.out.printf("%s java %d checksum %s wall_s %.3f cycles %d%n", words[0], size, Long.toUnsignedString(sum), wall,
        cycles);
  }
}
