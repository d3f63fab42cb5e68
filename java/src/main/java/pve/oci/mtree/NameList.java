package pve.oci.mtree;

import java.util.Arrays;

/** Names of a directory in one array, because a container may have made millions; sorted as unsigned bytes. */
final class NameList {
    private byte[] bytes = new byte[1024];
    private int used;
    private int[] starts = new int[64];
    private int count;

    void add(byte[] name) {
        if (used + name.length > bytes.length) {
            bytes = Arrays.copyOf(bytes, Math.max(bytes.length * 2, used + name.length));
        }
        if (count + 1 >= starts.length) {
            starts = Arrays.copyOf(starts, starts.length * 2);
        }
        System.arraycopy(name, 0, bytes, used, name.length);
        starts[count++] = used;
        used += name.length;
        starts[count] = used;
    }

    int size() {
        return count;
    }

    /** Memory that the names take, about. */
    int byteCount() {
        return bytes.length + starts.length * 4;
    }

    /** The sorted order of the names: arguments for {@link #get}. */
    int[] order() {
        int[] order = new int[count];
        for (int i = 0; i < count; i++) {
            order[i] = i;
        }
        sort(order, new int[count], 0, count);
        return order;
    }

    byte[] get(int index) {
        return Arrays.copyOfRange(bytes, starts[index], starts[index + 1]);
    }

    private void sort(int[] order, int[] spare, int from, int to) {
        if (to - from < 2) {
            return;
        }
        int middle = (from + to) >>> 1;
        sort(order, spare, from, middle);
        sort(order, spare, middle, to);
        System.arraycopy(order, from, spare, from, to - from);
        int left = from;
        int right = middle;
        for (int i = from; i < to; i++) {
            boolean takesLeft = right == to || (left < middle && compare(spare[left], spare[right]) <= 0);
            order[i] = takesLeft ? spare[left++] : spare[right++];
        }
    }

    private int compare(int a, int b) {
        return Arrays.compareUnsigned(bytes, starts[a], starts[a + 1], bytes, starts[b], starts[b + 1]);
    }
}
