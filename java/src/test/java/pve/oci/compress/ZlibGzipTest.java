package pve.oci.compress;

/** gzip by java.util.zip. */
class ZlibGzipTest extends GzipContract {
    @Override
    Decompressor decompressor() {
        return new GzipDecompressor(new ZlibMember());
    }
}
