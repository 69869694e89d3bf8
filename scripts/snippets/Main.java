// Connects to the port it is given, takes the snippet, and waits to be looked at.
import java.net.Socket;

final class Main {
    public static void main(String[] words) throws Exception {
        var socket = new Socket("127.0.0.1", Integer.parseInt(words[0]));
        Keepalive.set(socket);
        Thread.sleep(3_600_000);
    }
}
